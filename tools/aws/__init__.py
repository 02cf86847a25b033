"""What is done with an AWS account before and beside a deployment."""
