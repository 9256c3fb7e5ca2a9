"""One training run shared by several processes, over MXNet's KVStore."""
