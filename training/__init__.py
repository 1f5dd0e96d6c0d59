"""Scripts that train the networks shipped with Antidrome; anyone can rerun them."""
