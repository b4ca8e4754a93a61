"""Files for a deployment of nvsx, as text: for cron, systemd and Kubernetes. Printed, never applied."""
