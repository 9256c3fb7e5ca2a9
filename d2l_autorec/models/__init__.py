"""AutoRec models: architecture, recipes, network and trained model."""
