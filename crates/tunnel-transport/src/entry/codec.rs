use hyper_util::{rt::TokioTimer, server::conn::auto};

use crate::{
    entry::{Entry, config::DEFAULT_HEAD_BYTES, executor::StreamExecutor, timer::HeadTimer},
    net::windows,
};

/// hyper's own lower bound for the buffer of an HTTP/1.1 connection, in bytes.
const SMALLEST_BUFFER: u32 = 8 * 1024;

const _: () = assert!(2 * DEFAULT_HEAD_BYTES - windows::EDGE_SPARE == windows::EDGE_PIECE as u32);

/// hyper's own limit for the fields of an HTTP/1.1 head. For any other it allocates twice for each head.
const FIELDS_WITHOUT_ALLOCATION: usize = 100;

impl Entry {
    /// The hyper server of one connection with these settings. HTTP/1.1 half-close stays off: a FIN means that the client left.
    pub(super) fn codec(&self, executor: StreamExecutor) -> auto::Builder<StreamExecutor> {
        let head_bytes = self.head_bytes.saturating_mul(2).max(SMALLEST_BUFFER);
        // As much is read of a body at once.
        let buffer = (head_bytes - windows::EDGE_SPARE).max(SMALLEST_BUFFER);
        let mut builder = auto::Builder::new(executor);
        builder
            .http1()
            .timer(HeadTimer::default())
            .header_read_timeout(self.head_timeout)
            .half_close(false)
            .max_buf_size(buffer as usize);
        if self.head_fields > FIELDS_WITHOUT_ALLOCATION {
            builder.http1().max_headers(self.head_fields.saturating_mul(2));
        }
        let (waiting, wrong) = self.resets;
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(self.ping_interval)
            .keep_alive_timeout(self.ping_timeout)
            .max_concurrent_streams(self.max_streams)
            .max_pending_accept_reset_streams(waiting)
            .max_local_error_reset_streams(wrong)
            .initial_stream_window_size(self.stream_window)
            .initial_connection_window_size(windows::CONNECTION_WINDOW)
            .adaptive_window(false)
            .max_header_list_size(head_bytes)
            .max_frame_size(self.max_frame)
            .max_send_buf_size(self.send_buffer)
            .enable_connect_protocol();
        builder
    }
}
