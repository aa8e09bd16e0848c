"""One file per schema version. A version that was released is never changed."""
