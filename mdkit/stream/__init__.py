"""The live core: a source, a bounded queue, lanes of workers. Plain asyncio, no notebook."""
