"""`sluice doctor`: says what fails in a stack or its database, or would fail in a deployment, and what to do."""
