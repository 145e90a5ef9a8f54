"""The team behind the `social_campaign` task kind: one file per member, and the rules they share."""
