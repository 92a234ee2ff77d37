//! The way from the API server to a replica, which can be cut.

use std::net::{SocketAddr, UdpSocket};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// A port of this machine at which the API server finds the replica, as it would find a Pod: of an address that is not
/// loopback, which no endpoint may have.
pub(super) struct Way {
    pub(super) address: SocketAddr,
    listener: std::net::TcpListener,
    tasks: JoinSet<()>,
}

/// What becomes of a connection.
#[derive(Clone, Copy)]
pub(super) enum Goes {
    /// It reaches the replica.
    To(SocketAddr),
    /// Nobody answers, as behind a firewall that drops packets.
    Nowhere,
}

impl Way {
    /// None where this machine has no other address than loopback.
    pub(super) fn new() -> Option<Self> {
        // nothing is sent: it is asked from where it would be
        let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
        socket.connect("192.0.2.1:9").ok()?;
        let ip = socket.local_addr().ok()?.ip();
        let listener = std::net::TcpListener::bind((ip, 0)).ok()?;
        listener.set_nonblocking(true).ok()?;
        Some(Self {
            address: listener.local_addr().ok()?,
            listener,
            tasks: JoinSet::new(),
        })
    }

    /// Ends every connection, and goes on so.
    pub(super) async fn leads(&mut self, goes: Goes) {
        self.tasks.shutdown().await;
        let listener = self.listener.try_clone().and_then(TcpListener::from_std);
        let listener = listener.expect("its port");
        self.tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                connections.spawn(async move {
                    match goes {
                        Goes::To(replica) => {
                            let mut replica = TcpStream::connect(replica).await?;
                            copy_bidirectional(&mut client, &mut replica)
                                .await
                                .map(drop)
                        }
                        Goes::Nowhere => std::future::pending().await,
                    }
                });
            }
        });
    }
}
