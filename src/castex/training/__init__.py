"""How the shipped mini models are made: pictures, the autoencoder, its yardstick and its model card."""
