//! Ports that two runs side by side cannot both get.

use std::{io, net::SocketAddr};

use tokio::net::TcpSocket;

use crate::Error;

/// A port of loopback, for a server that shares its port. The kernel gives it to nobody else who asks for any port, and
/// this socket, which does not listen, gets no connection.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) address: SocketAddr,
    _reserved: TcpSocket,
}

impl Port {
    pub(crate) fn reserve() -> Result<Self, Error> {
        let reserve = || {
            let socket = TcpSocket::new_v4()?;
            socket.set_reuseport(true)?;
            socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
            io::Result::Ok(Self {
                address: socket.local_addr()?,
                _reserved: socket,
            })
        };
        reserve().map_err(Error::io("a port of loopback"))
    }
}
