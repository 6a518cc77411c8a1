"""From text notebooks to the verified book: what `make book`, `make references` and `make student` run."""
