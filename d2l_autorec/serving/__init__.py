"""Using a trained model: saving, predicting, updating, exporting, serving."""
