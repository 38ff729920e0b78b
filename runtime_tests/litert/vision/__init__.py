"""What the judge asks of a ``.litertlm`` that takes images, rung by rung."""
