"""The examples in the documents, as tests."""
