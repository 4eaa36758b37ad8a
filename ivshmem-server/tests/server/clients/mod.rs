//! What clients observe: handshake, joins and leaves, refusals, misbehaving clients.

mod access;
mod handshake;
mod host_peer;
mod hostile;
mod limits;
mod many_clients;
mod misbehaviour;
mod schedules;
