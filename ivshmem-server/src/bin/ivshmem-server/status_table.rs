//! The server's status as a table.

use comfy_table::{CellAlignment, Table, presets};
use ivshmem_server::size::Bytes;
use proto::status::{PeerStatus, ServerStatus};

const HEADER: [&str; 8] = ["peer", "pid", "uid", "gid", "vectors", "queued", "messages", "connected since"];

/// A few lines about the server, and a row for each peer.
pub(crate) fn render(status: &ServerStatus) -> String {
    let ServerStatus { memory, peers, .. } = status;
    let seals = if memory.seals.is_empty() { "none".into() } else { memory.seals.join(", ") };
    let resized = match memory.current_bytes {
        Some(current) if current < memory.size_bytes => format!(
            "; SHRUNK to {}: peers that access the missing part end with SIGBUS, and new clients are refused",
            Bytes(current)
        ),
        Some(current) if current > memory.size_bytes => {
            format!("; ENLARGED to {}: new clients are refused", Bytes(current))
        }
        _ => String::new(),
    };
    let mut text = format!(
        "ivshmem-server {version}, pid {pid}, listening on {socket} since {started}\n\
         memory: {description}; seals: {seals}{resized}\n\
         peers: {count} of {max_peers}, vectors per peer: {vectors}; next id {next_id}, {ids_left} free, {ids_held} held\n\
         {messages} messages sent, {refused} clients refused, {cut_off} peers disconnected, {held_up} clients waiting\n",
        version = status.version,
        pid = status.pid,
        socket = status.socket.escape_debug(),
        started = status.started,
        description = memory.description,
        count = peers.len(),
        max_peers = status.max_peers,
        vectors = status.vectors,
        next_id = status.next_id,
        ids_left = status.ids_left,
        ids_held = status.ids_held,
        messages = status.messages_sent,
        refused = status.refused,
        cut_off = status.cut_off,
        held_up = status.held_up,
    );
    if !peers.is_empty() {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(HEADER).add_rows(peers.iter().map(row));
        for column in table.column_iter_mut().take(HEADER.len() - 1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        text.push('\n');
        for line in table.lines() {
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
    text
}

fn row(peer: &PeerStatus) -> [String; 8] {
    let number = |number: Option<i64>| number.map_or("-".into(), |number| number.to_string());
    [
        peer.id.to_string(),
        number(peer.pid.map(Into::into)),
        number(peer.uid.map(Into::into)),
        number(peer.gid.map(Into::into)),
        peer.vectors.to_string(),
        peer.queued_notices.to_string(),
        peer.messages_sent.to_string(),
        peer.connected_since.clone(),
    ]
}
