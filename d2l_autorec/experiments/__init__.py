"""Questions to the model, answered with tables and figures."""
