/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "dispatcher/cri/handlers.h"
#include "dispatcher/image/pulls.h"
#include "runtime_v1.pb-c.h"
#include "shared/cleanup.h"

/* One caller; lives in the call's arena. */
typedef struct Pulling {
    CriCall *call;
    PullWaiter *waiter; /* NULL once answered */
} Pulling;

static void on_done(void *data, const char *image_id, const Failure *why)
{
    Runtime__V1__PullImageResponse response = RUNTIME__V1__PULL_IMAGE_RESPONSE__INIT;
    Pulling *pulling = data;

    pulling->waiter = NULL;
    if (!image_id) {
        cri_call_fail(pulling->call, why);
        return;
    }
    response.image_ref = (char *)(uintptr_t)image_id;
    cri_call_reply(pulling->call, &response.base);
}

static void on_gone(void *data)
{
    Pulling *pulling = data;
    Failure why;

    if (!pulling->waiter)
        return;
    pull_waiter_leave(pulling->waiter);
    pulling->waiter = NULL;
    (void)failure_say(&why, FAILURE_CANCELLED, "the client has gone");
    cri_call_fail(pulling->call, &why);
}

/* The request's own copies are not needed again. */
static void wipe(const Runtime__V1__AuthConfig *auth)
{
    char *const secrets[] = {auth->username, auth->password, auth->auth, auth->identity_token,
                             auth->registry_token};

    for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++)
        if (*secrets[i])
            explicit_bzero(secrets[i], strlen(secrets[i]));
}

static int read_credentials(const Runtime__V1__AuthConfig *auth, Credentials *ret, Failure *why)
{
    Pull__Credentials fields = PULL__CREDENTIALS__INIT;
    int r;

    if (!auth)
        return credentials_make(&fields, NULL, ret, why);
    fields.username = auth->username;
    fields.password = auth->password;
    fields.identity_token = auth->identity_token;
    fields.registry_token = auth->registry_token;
    fields.server = auth->server_address;
    r = credentials_make(&fields, auth->auth, ret, why);
    wipe(auth);
    return r;
}

/* The registry is asked even if the image is here: a tag may have moved, and whether the caller may
 * have it is for the registry to say. */
void cri_pull_image(CriCall *call)
{
    const Runtime__V1__PullImageRequest *request = (const void *)cri_call_request(call);
    CLEANUP(credentials_done) Credentials credentials = {0};
    Pulling *pulling = arena_alloc(cri_call_arena(call), sizeof(*pulling));
    const char *name = request->image ? request->image->image : "";
    Failure why;
    int r;

    pulling->call = call;
    r = *name ? read_credentials(request->auth, &credentials, &why)
              : failure_say(&why, FAILURE_INVALID_ARGUMENT, "image.image: must not be empty");
    if (r >= 0) {
        r = image_pulls_join(cri_call_node(call)->pulls, name, &credentials, on_done, pulling,
                             &pulling->waiter, &why);
        if (r < 0 && why.code == FAILURE_INVALID_ARGUMENT)
            failure_prefix(&why, "image.image");
    }
    if (r < 0)
        cri_call_fail(call, &why);
    else
        cri_call_on_gone(call, on_gone, pulling);
}
