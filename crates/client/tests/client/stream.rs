//! A client's events as a stream in tokio.

use std::time::Duration;

use client::stream::EventStream;
use client::{ClientError, ClientEvent, JoinOptions, PeerChange};
use proto::wire::{PeerId, Vector};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use test_support::real_server::RealServer;
use test_support::{LONG, SHORT};

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// The next event that is not a further vector.
async fn next(events: &mut EventStream) -> Option<Result<ClientEvent, ClientError>> {
    loop {
        let event = timeout(LONG, events.next()).await.expect("the stream hangs");
        if !matches!(event, Some(Ok(ClientEvent::Peer(PeerChange::VectorAdded { .. })))) {
            return event;
        }
    }
}

#[test]
fn stream_yields_events_and_ends_with_the_server() {
    let mut server = RealServer::start(2);
    runtime().block_on(async {
        let mut events = EventStream::join(JoinOptions::at(server.socket())).await.unwrap();
        let own = events.client().id();
        assert!(timeout(SHORT, events.next()).await.is_err(), "nothing has happened");

        let other = server.client();
        let peer = PeerId(1);
        let joined = next(&mut events).await.unwrap().unwrap();
        assert_eq!(joined, ClientEvent::Peer(PeerChange::Joined { peer }));
        // Repeated: lost wake-ups are rare.
        for round in 0..200 {
            let vector = Vector(round % 2);
            other.ring(own, vector).unwrap();
            let rung = next(&mut events).await.unwrap().unwrap();
            assert_eq!(rung, ClientEvent::Rung { vector, rings: 1 });
        }
        drop(other);
        let left = next(&mut events).await.unwrap().unwrap();
        assert_eq!(left, ClientEvent::Peer(PeerChange::Left { peer }));

        server.stop();
        let error = next(&mut events).await.unwrap().unwrap_err();
        assert!(matches!(error, ClientError::ServerGone(_)), "{error}");
        assert!(next(&mut events).await.is_none());
        let client = events.into_client();
        client.ring(own, Vector(1)).unwrap();
        assert_eq!(client.wait(Vector(1), Some(LONG)).unwrap(), Some(1));
    });
}

#[test]
fn ring_wakes_a_sleeping_task() {
    let server = RealServer::start(1);
    runtime().block_on(async {
        let mut events = EventStream::join(JoinOptions::at(server.socket())).await.unwrap();
        let (own, other) = (events.client().id(), server.client());
        next(&mut events).await.unwrap().unwrap();
        for _ in 0..20 {
            let ring = async {
                tokio::time::sleep(Duration::from_millis(1)).await;
                other.ring(own, Vector(0)).unwrap();
            };
            let (event, ()) = tokio::join!(next(&mut events), ring);
            assert_eq!(event.unwrap().unwrap(), ClientEvent::Rung { vector: Vector(0), rings: 1 });
        }
    });
}
