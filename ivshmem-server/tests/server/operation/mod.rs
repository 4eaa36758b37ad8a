//! What the operator observes: start, stop, logs, status, systemd.

mod background;
mod lifecycle;
mod logging;
mod startup;
mod status;
mod systemd;
