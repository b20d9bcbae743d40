"""Images: files decoded once into one store, changed at random where training asks for it."""
