"""`sluice capacity`: how many records a second come in, what has to be set for them and what AWS asks for it out."""
