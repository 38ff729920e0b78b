"""What the judge asks of a drafter's section in a ``.litertlm``, rung by rung."""
