"""Lakes in object stores: moto on loopback for what every change must pass; a real SeaweedFS is in `services/`."""
