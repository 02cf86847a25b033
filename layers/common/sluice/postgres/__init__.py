"""PostgreSQL: connections, transactions, COPY and what its errors mean. Nothing else imports pg8000."""
