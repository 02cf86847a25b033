"""`sluice capacity`: what a number of records a second needs, and what AWS asks for it."""
