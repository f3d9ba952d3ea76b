"""A PostgreSQL of our own in the data folder, for whoever gives no ``DATABASE_URL``.

``supervisor`` says who uses it and when it stops, ``cluster`` makes, starts and ends it, ``placement`` says where it
lives, ``account`` as whom it runs, ``binaries`` which PostgreSQL that is, ``locks`` keeps processes apart.
"""

from telefonist.storage.embedded.supervisor import ClusterInfo, EmbeddedPostgres

__all__ = ["ClusterInfo", "EmbeddedPostgres"]
