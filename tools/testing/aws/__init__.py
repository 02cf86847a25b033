"""The AWS that the functions meet in tests and in the benchmark: each service once, as boto3 calls it or over HTTP."""
