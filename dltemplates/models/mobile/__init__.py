"""Small networks for phones and microcontrollers, one file per family."""
