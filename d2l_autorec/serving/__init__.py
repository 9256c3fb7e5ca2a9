"""A trained model in use: kept in a folder, asked, carried elsewhere. Asking needs no MXNet."""
