//! Generated clients of an agent.

use futures_util::{StreamExt as _, stream};
use tonic::{Code, Request, service::Routes};
use tunnel_examples::greeter::{
    GreetAllRequest, GreetEachRequest, GreetOftenRequest, GreetRequest, GreeterClient, GreeterServer, Hello,
};
use tunnel_layers::target::ClientExt as _;
use tunnel_tests::wait::within_limit;
use tunnel_transport::Agent;

use crate::world::World;

#[tokio::test]
async fn the_four_kinds_of_calls_go_to_another_group() {
    within_limit(async {
        let mut world = World::new().await;
        let greeter = world.greeter();
        world
            .tunnel
            .run(greeter, Routes::new(GreeterServer::new(Hello)))
            .await;
        let mut client = GreeterClient::new(world.edge.client());
        let name = "Ada".to_owned();

        let answer = client.greet(GreetRequest { name: name.clone() }).await;
        assert_eq!(answer.expect("an answer").into_inner().greeting, "hello Ada");

        let often = GreetOftenRequest {
            name: name.clone(),
            times: 100,
        };
        let often = client.greet_often(often).await.expect("a stream").into_inner();
        let often: Vec<_> = often
            .map(|greeting| greeting.expect("a greeting").greeting)
            .collect()
            .await;
        assert_eq!((often.len(), &*often[99]), (100, "hello Ada (100)"));

        let all = ["Ada", "Bob"].map(|name| GreetAllRequest {
            name: name.to_owned(),
        });
        let answer = client.greet_all(stream::iter(all)).await.expect("an answer");
        assert_eq!(answer.into_inner().greeting, "hello Ada, Bob");

        let each = ["Ada", "Bob", ""].map(|name| GreetEachRequest {
            name: name.to_owned(),
        });
        let mut each = client
            .greet_each(stream::iter(each))
            .await
            .expect("a stream")
            .into_inner();
        for expected in ["hello Ada", "hello Bob"] {
            let greeting = each.message().await.expect("a greeting").expect("one more");
            assert_eq!(greeting.greeting, expected);
        }
        let status = each.message().await.expect_err("the last has no name");
        assert_eq!(
            (status.code(), status.message()),
            (Code::InvalidArgument, "whom?")
        );
        drop(each);
        world.settled().await;
    })
    .await;
}

#[tokio::test]
async fn a_call_says_what_is_wrong_in_the_words_of_grpc() {
    within_limit(async {
        let nobody = Agent::builder("http://127.0.0.1:9")
            .group("edge")
            .build()
            .expect("an agent");
        let request = || GreetRequest {
            name: "Ada".to_owned(),
        };
        let status = GreeterClient::new(nobody.client())
            .greet(request())
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert!(
            status.message().contains("not connected to a gateway"),
            "{status}"
        );

        let mut world = World::new().await;
        let other = world.other().await;
        let mut client = GreeterClient::new(other.client());
        let status = client.greet(request()).await.unwrap_err();
        assert_eq!(
            status.code(),
            Code::Unavailable,
            "the group has no agent: {status}"
        );
        assert_eq!(status.message(), "no healthy agent");

        let greeter = world.greeter();
        world
            .tunnel
            .run(greeter, Routes::new(GreeterServer::new(Hello)))
            .await;
        let mut timed = Request::new(request());
        timed.set_timeout(std::time::Duration::from_secs(60));
        assert_eq!(
            client
                .greet(timed)
                .await
                .expect("an answer")
                .into_inner()
                .greeting,
            "hello Ada"
        );
        world.settled().await;
    })
    .await;
}
