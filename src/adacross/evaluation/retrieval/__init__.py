"""Finding shapes by picture, pictures by shape, shapes by shape."""
