"""The transport of httpx that everything outgoing uses: a bounded pool of HTTP/1.1 connections."""
