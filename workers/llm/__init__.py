"""Where text comes from: providers that write drafts, and the fetcher that reads documents."""
