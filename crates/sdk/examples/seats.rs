//! A participant that sells ten seats: `cargo run -p unanim --example seats -- 127.0.0.1:5001 seats.db`
use axum::{Router, routing::get};
use unanim::participant::{Call, Participant, Vote};
use unanim::sqlite::{Branches, Failure, Work, rusqlite};

/// The payload of a branch is a number of seats.
struct Seats;

impl Work for Seats {
    fn set_up(&self, db: &rusqlite::Connection) -> rusqlite::Result<()> {
        let table = "CREATE TABLE IF NOT EXISTS hall (free INT, sold INT)";
        db.execute_batch(&format!("{table}; INSERT INTO hall SELECT 10, 0 WHERE NOT EXISTS (SELECT * FROM hall)"))
    }
    fn prepare(&self, db: &rusqlite::Connection, call: &Call) -> Result<Vote, Failure> {
        let taken = db.execute("UPDATE hall SET free = free - ?1 WHERE free >= ?1", [call.json::<u32>()?])?;
        Ok(if taken == 1 { Vote::Yes } else { Vote::No("there are not that many seats left".into()) })
    }
    fn commit(&self, db: &rusqlite::Connection, call: &Call) -> Result<(), Failure> {
        Ok(db.execute("UPDATE hall SET sold = sold + ?1", [call.json::<u32>()?]).map(drop)?)
    }
    fn rollback(&self, db: &rusqlite::Connection, call: &Call) -> Result<(), Failure> {
        Ok(db.execute("UPDATE hall SET free = free + ?1", [call.json::<u32>()?]).map(drop)?)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let seats = Participant::new(Branches::open(args[2].as_ref(), Seats)?);
    tokio::spawn(seats.clone().inquire(unanim::http::Http::new(None)?));
    let app = Router::new().nest("/tx", seats.router()).route("/", get(async move || show(&seats).await));
    let listener = tokio::net::TcpListener::bind(&args[1]).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}

async fn show(seats: &Participant<Branches>) -> String {
    let all = "SELECT free || ' free, ' || sold || ' sold' FROM hall";
    let read = seats.manager().read(|db| db.query_row(all, [], |row| row.get(0)));
    read.await.unwrap_or_else(|error| error.to_string())
}
