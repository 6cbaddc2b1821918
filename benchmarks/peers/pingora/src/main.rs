//! A plain load balancer on the pingora crates: one listener, one upstream group, round robin.
//!
//! usage: bench-pingora LISTEN ORIGIN [ACCESS_LOG]
//!
//! It does what the framework does by default and nothing more: keep-alive on both sides and a pool
//! of upstream connections. One worker thread. With ACCESS_LOG, a line for every exchange goes
//! through a buffer of 64 KiB, as in the other proxies.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use pingora_core::server::configuration::ServerConf;
use pingora_core::server::Server;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorType, Result};
use pingora_load_balancing::selection::RoundRobin;
use pingora_load_balancing::LoadBalancer;
use pingora_proxy::{ProxyHttp, Session};

const UPSTREAM_POOL: usize = 1024;
const LOG_BUFFER: usize = 64 * 1024;

struct Balancer {
    upstreams: Arc<LoadBalancer<RoundRobin>>,
    log: Option<Mutex<BufWriter<File>>>,
}

#[async_trait]
impl ProxyHttp for Balancer {
    type CTX = ();

    fn new_ctx(&self) -> Self::CTX {}

    async fn upstream_peer(&self, _: &mut Session, _: &mut Self::CTX) -> Result<Box<HttpPeer>> {
        let backend = self
            .upstreams
            .select(b"", 16)
            .ok_or_else(|| Error::new(ErrorType::ConnectNoRoute))?;
        Ok(Box::new(HttpPeer::new(backend, false, String::new())))
    }

    async fn logging(&self, session: &mut Session, _: Option<&Error>, _: &mut Self::CTX) {
        let Some(log) = &self.log else { return };
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        let status = session
            .response_written()
            .map_or(0, |head| head.status.as_u16());
        let address = session
            .client_addr()
            .map_or_else(|| "-".to_string(), |addr| addr.to_string());
        let head = session.req_header();
        if let Ok(mut out) = log.lock() {
            let _ = writeln!(
                out,
                "{} {} \"{} {}\" {} {}",
                now.as_millis(),
                address,
                head.method,
                head.uri,
                status,
                session.body_bytes_sent()
            );
        }
    }
}

fn main() {
    let mut words = std::env::args().skip(1);
    let (Some(listen), Some(origin)) = (words.next(), words.next()) else {
        eprintln!("usage: bench-pingora LISTEN ORIGIN [ACCESS_LOG]");
        std::process::exit(2);
    };
    let log = words.next().map(|path| {
        let file = File::create(&path).expect("the access log cannot be created");
        Mutex::new(BufWriter::with_capacity(LOG_BUFFER, file))
    });

    let conf = ServerConf {
        threads: 1,
        upstream_keepalive_pool_size: UPSTREAM_POOL,
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(0),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();

    let upstreams = LoadBalancer::try_from_iter([origin.as_str()]).expect("a bad origin address");
    let balancer = Balancer {
        upstreams: Arc::new(upstreams),
        log,
    };
    let mut service = pingora_proxy::http_proxy_service(&server.configuration, balancer);
    service.add_tcp(&listen);
    server.add_service(service);
    server.run_forever();
}
