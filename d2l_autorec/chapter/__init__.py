"""The book as printed; nothing in here is faster, safer or fixed."""
