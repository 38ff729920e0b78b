"""What the judge asks of the package that makes rows of images, rung by rung."""
