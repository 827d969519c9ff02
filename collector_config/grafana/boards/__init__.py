"""The dashboards, one module each; ``asking`` has what they ask, ``panels`` how it is drawn."""
