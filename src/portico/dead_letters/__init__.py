"""What could not be done: dead letters of workflows, webhooks and events, in one place."""
