"""What alembic runs: the migrations, on the connection and in the transaction that ``upgrade`` gives it."""

from alembic import context

if context.is_offline_mode():
    context.configure(dialect_name=context.config.attributes["dialect"], output_buffer=context.config.output_buffer)
else:
    context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)

with context.begin_transaction():
    context.run_migrations()
