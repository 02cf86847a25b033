"""The way of a record: from an SQS message to a row, or to a rejection."""
