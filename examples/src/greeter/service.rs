//! A server of the greeter.

use futures_util::stream::{self, BoxStream, StreamExt as _};
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::{
    GreetAllRequest, GreetAllResponse, GreetEachRequest, GreetEachResponse, GreetOftenRequest,
    GreetOftenResponse, GreetRequest, GreetResponse, generated::greeter_server::Greeter,
};

/// The most greetings of one call of `GreetOften`, and the most names of one of `GreetAll`.
const MOST: u32 = 1_000;

/// Says hello. A name must not be empty: that is INVALID_ARGUMENT.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hello;

#[async_trait]
impl Greeter for Hello {
    type GreetOftenStream = BoxStream<'static, Result<GreetOftenResponse, Status>>;
    type GreetEachStream = BoxStream<'static, Result<GreetEachResponse, Status>>;

    async fn greet(&self, request: Request<GreetRequest>) -> Result<Response<GreetResponse>, Status> {
        let greeting = hello(&request.into_inner().name)?;
        Ok(Response::new(GreetResponse { greeting }))
    }

    async fn greet_often(
        &self,
        request: Request<GreetOftenRequest>,
    ) -> Result<Response<Self::GreetOftenStream>, Status> {
        let GreetOftenRequest { name, times } = request.into_inner();
        if times > MOST {
            return Err(Status::invalid_argument(format!("at most {MOST} times")));
        }
        let greeting = hello(&name)?;
        let greetings = (1..=times).map(move |time| GreetOftenResponse {
            greeting: format!("{greeting} ({time})"),
        });
        Ok(Response::new(stream::iter(greetings.map(Ok)).boxed()))
    }

    async fn greet_all(
        &self,
        request: Request<Streaming<GreetAllRequest>>,
    ) -> Result<Response<GreetAllResponse>, Status> {
        let (mut requests, mut names) = (request.into_inner(), Vec::new());
        while let Some(request) = requests.message().await? {
            if names.len() == MOST as usize {
                return Err(Status::resource_exhausted(format!("at most {MOST} names")));
            }
            names.push(request.name);
        }
        let greeting = hello(&names.join(", "))?;
        Ok(Response::new(GreetAllResponse { greeting }))
    }

    async fn greet_each(
        &self,
        request: Request<Streaming<GreetEachRequest>>,
    ) -> Result<Response<Self::GreetEachStream>, Status> {
        let greetings = request.into_inner().map(|request| {
            Ok(GreetEachResponse {
                greeting: hello(&request?.name)?,
            })
        });
        Ok(Response::new(greetings.boxed()))
    }
}

fn hello(name: &str) -> Result<String, Status> {
    if name.is_empty() {
        return Err(Status::invalid_argument("whom?"));
    }
    Ok(format!("hello {name}"))
}
