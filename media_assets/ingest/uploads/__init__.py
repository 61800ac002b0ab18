"""The upload endpoint: what people and programs send becomes whole files in the inbox, acknowledged when durable."""
