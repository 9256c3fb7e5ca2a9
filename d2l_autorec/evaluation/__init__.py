"""How good a model is: errors, rankings, intervals, and the choice of a recipe."""
