"""The web half of Swallowtail: the domain core, the delivery engine and the Flask front."""
