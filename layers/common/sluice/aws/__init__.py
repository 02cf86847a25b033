"""AWS: clients that give up soon, and what several rooms ask of its services."""
