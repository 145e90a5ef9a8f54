"""Text engines that write drafts, and the fetcher of documents."""
