"""A PostgreSQL of our own in the data folder, for whoever gives no ``DATABASE_URL``.

``supervisor`` says who uses it and when it stops; ``cluster`` makes, starts and ends it; ``processes`` sees what runs;
``configuration`` says how it is set up, ``placement`` where it lives, ``account`` as whom it runs, ``binaries`` which
PostgreSQL that is; ``locks`` keeps those who share it apart.
"""

from telefonist.storage.embedded.supervisor import ClusterInfo, EmbeddedPostgres

__all__ = ["ClusterInfo", "EmbeddedPostgres"]
