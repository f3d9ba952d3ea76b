// Fake OpenAI upstream: POST any path -> chat completion (plain or SSE). One epoll thread, keep-alive.
//   upstream PORT
// Defaults from env: UP_DELAY_MS (before first byte), UP_CHUNK_MS (between SSE chunks), UP_CHUNKS (content chunks).
// A request overrides them with a marker anywhere in its body (it survives any gateway): @@d500,c20,n50@@
// chunk delay 0 = the whole stream in one write (burst); >0 = one write per chunk.
// Answers are the same for every gateway; only the id (a counter) changes. GET /__stats -> requests served, requests
// held back by their delay now, and the most held back since the last look.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
typedef struct conn { int fd, hi, close_after, st, i, n, cms; char *in; int len, cap; char *out; int olen, ocap, opos; double at; unsigned long id; int want_usage; } conn;
enum { READ, WAIT_PLAIN, STREAM };
static int ep; static conn *heap[200000]; static int hn,peak; static unsigned long served, next_id = 1;
static int def_d, def_c, def_n = 50;
static double now(void){ struct timespec t; clock_gettime(CLOCK_MONOTONIC,&t); return t.tv_sec*1e3+t.tv_nsec/1e6; }
static void hset(int i, conn*c){ heap[i]=c; c->hi=i; }
static void up(int i){ conn*c=heap[i]; while(i>1&&heap[i/2]->at>c->at){ hset(i,heap[i/2]); i/=2;} hset(i,c); }
static void down(int i){ conn*c=heap[i]; for(;;){ int k=2*i; if(k>hn)break; if(k<hn&&heap[k+1]->at<heap[k]->at)k++; if(heap[k]->at>=c->at)break; hset(i,heap[k]); i=k;} hset(i,c); }
static void arm(conn*c,double at){ c->at=at; hset(++hn,c); up(hn); if(hn>peak)peak=hn; }
static void disarm(conn*c){ int i=c->hi; if(!i)return; c->hi=0; conn*l=heap[hn--]; if(l!=c){ hset(i,l); up(i); down(l->hi);} }
static void drop(conn*c){ disarm(c); close(c->fd); free(c->in); free(c->out); free(c); }
static void oput(conn*c,const char*s,int n){ if(c->olen+n>c->ocap){ c->ocap=(c->olen+n)*2; c->out=realloc(c->out,c->ocap);} memcpy(c->out+c->olen,s,n); c->olen+=n; }
static int flush_(conn*c){ while(c->opos<c->olen){ ssize_t w=write(c->fd,c->out+c->opos,c->olen-c->opos);
    if(w<0){ if(errno==EAGAIN){ struct epoll_event e={.events=EPOLLIN|EPOLLOUT,.data.ptr=c}; epoll_ctl(ep,EPOLL_CTL_MOD,c->fd,&e); return 0;} return -1;} c->opos+=w; }
  c->olen=c->opos=0; return 1; }
static const char *TXT="The quick brown fox jumps over the lazy dog while a patient gateway counts every token it relays, one by one, and never loses any of them on the way back to the caller who asked.";
static void plain(conn*c){ char b[1400],h[300];
  int n=snprintf(b,sizeof b,"{\"id\":\"chatcmpl-%016lx\",\"object\":\"chat.completion\",\"created\":1760000000,\"model\":\"fake-model\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"%s\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":25,\"completion_tokens\":40,\"total_tokens\":65},\"system_fingerprint\":\"fp_fake\"}",c->id,TXT);
  int k=snprintf(h,sizeof h,"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",n); oput(c,h,k); oput(c,b,n); }
static void ck(conn*c,const char*s,int n){ char h[16]; int k=snprintf(h,16,"%x\r\n",n); oput(c,h,k); oput(c,s,n); oput(c,"\r\n",2); }
#define PRE "data: {\"id\":\"chatcmpl-%016lx\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,\"model\":\"fake-model\",\"system_fingerprint\":\"fp_fake\","
static void head(conn*c){ static const char h[]="HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n"; oput(c,h,sizeof h-1); }
static void chunk(conn*c,int i){ char b[700]; int k;
  if(i<c->n) k=snprintf(b,sizeof b,PRE "\"choices\":[{\"index\":0,\"delta\":{%s\"content\":\" token%d\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n",c->id,i?"":"\"role\":\"assistant\",",i);
  else { k=snprintf(b,sizeof b,PRE "\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}]}\n\n",c->id);
    if(c->want_usage) k+=snprintf(b+k,sizeof b-k,PRE "\"choices\":[],\"usage\":{\"prompt_tokens\":25,\"completion_tokens\":%d,\"total_tokens\":%d}}\n\n",c->id,c->n,c->n+25);
    k+=snprintf(b+k,sizeof b-k,"data: [DONE]\n\n"); }
  ck(c,b,k); if(i>=c->n) oput(c,"0\r\n\r\n",5); }
static int truth(const char*b,int n,const char*key){ const char*p=b; int kl=strlen(key); while((p=memmem(p,b+n-p,key,kl))){ p+=kl; const char*q=p; while(q<b+n&&(*q==' '||*q==':'))q++; if(q>p&&q+4<=b+n&&!memcmp(q,"true",4))return 1; } return 0; }
static int done(conn*c){ c->st=READ; served++; return c->close_after?-1:0; }
static int tick(conn*c){ // timer fired
  if(c->st==WAIT_PLAIN){ plain(c); if(flush_(c)<0)return -1; return done(c); }
  if(c->i==0) head(c);
  if(c->cms==0){ for(;c->i<=c->n;c->i++) chunk(c,c->i); if(flush_(c)<0)return -1; return done(c); }
  chunk(c,c->i++); if(flush_(c)<0)return -1;
  if(c->i>c->n) return done(c);
  arm(c,c->at+c->cms); return 0; }
static int parse(conn*c){ // one request if whole
  for(;;){ if(c->st!=READ||c->len==0)return 0;
    char*e=memmem(c->in,c->len,"\r\n\r\n",4); if(!e)return 0; int hl=e+4-c->in; long cl=0; int te=0,total; c->close_after=0;
    for(char*p=memchr(c->in,'\n',hl);p&&p<e;p=memchr(p,'\n',e-p)){ p++;
      if(!strncasecmp(p,"content-length:",15))cl=atol(p+15); else if(!strncasecmp(p,"transfer-encoding:",18))te=1;
      else if(!strncasecmp(p,"connection:",11)&&!strncasecmp(p+12,"close",5))c->close_after=1;
      else if(!strncasecmp(p,"expect:",7)&&c->len==hl){ if(write(c->fd,"HTTP/1.1 100 Continue\r\n\r\n",25)<0)return -1; } }
    if(te){ char*z=memmem(c->in+hl-2,c->len-hl+2,"\r\n0\r\n\r\n",7); if(!z)return 0; total=z+7-c->in; } else { if(c->len<hl+cl)return 0; total=hl+cl; }
    char*b=c->in+hl; int bn=total-hl; int get=c->in[0]=='G'||c->in[0]=='H';
    if(get){ char h[300],j[160]; int stats=memmem(c->in,hl,"__stats",7)!=NULL; int k=stats?snprintf(j,sizeof j,"{\"served\":%lu,\"waiting\":%d,\"peak\":%d}",served,hn,peak):snprintf(j,sizeof j,"{\"object\":\"list\",\"data\":[{\"id\":\"fake-model\",\"object\":\"model\",\"created\":1,\"owned_by\":\"fake\"}]}");
      int hn_=snprintf(h,sizeof h,"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",k); oput(c,h,hn_); if(c->in[0]=='G')oput(c,j,k); if(stats)peak=hn; if(flush_(c)<0||c->close_after)return -1; }
    else { int d=def_d; c->cms=def_c; c->n=def_n; c->id=next_id++; c->i=0; char*m=memmem(b,bn,"@@d",3);
      if(m){ char save=c->in[total-1]; c->in[total-1]=0; sscanf(m,"@@d%d,c%d,n%d@@",&d,&c->cms,&c->n); c->in[total-1]=save; }
      c->st=truth(b,bn,"\"stream\"")?STREAM:WAIT_PLAIN; c->want_usage=truth(b,bn,"\"include_usage\"");
      c->at=now(); if(d>0) arm(c,c->at+d); else { if(tick(c)<0)return -1; } }
    memmove(c->in,c->in+total,c->len-total); c->len-=total; } }
int main(int ac,char**av){ signal(SIGPIPE,SIG_IGN); int port=ac>1?atoi(av[1]):9900; char*s;
  if((s=getenv("UP_DELAY_MS")))def_d=atoi(s); if((s=getenv("UP_CHUNK_MS")))def_c=atoi(s); if((s=getenv("UP_CHUNKS")))def_n=atoi(s);
  int l=socket(AF_INET,SOCK_STREAM|SOCK_NONBLOCK,0),one=1; setsockopt(l,SOL_SOCKET,SO_REUSEADDR,&one,4);
  struct sockaddr_in a={.sin_family=AF_INET,.sin_port=htons(port),.sin_addr.s_addr=htonl(INADDR_LOOPBACK)};
  if(bind(l,(void*)&a,sizeof a)||listen(l,4096)){perror("bind");return 1;}
  ep=epoll_create1(0); struct epoll_event e={.events=EPOLLIN,.data.ptr=NULL},ev[512]; epoll_ctl(ep,EPOLL_CTL_ADD,l,&e);
  for(;;){ int to=-1; if(hn){ double d=heap[1]->at-now(); to=d<=0?0:(int)(d+0.999); }
    int n=epoll_wait(ep,ev,512,to);
    for(int i=0;i<n;i++){ conn*c=ev[i].data.ptr;
      if(!c){ for(;;){ int f=accept4(l,0,0,SOCK_NONBLOCK); if(f<0)break; setsockopt(f,IPPROTO_TCP,TCP_NODELAY,&one,4);
          c=calloc(1,sizeof*c); c->fd=f; c->cap=8192; c->in=malloc(c->cap); e.events=EPOLLIN; e.data.ptr=c; epoll_ctl(ep,EPOLL_CTL_ADD,f,&e);} continue; }
      if(ev[i].events&EPOLLOUT){ int r=flush_(c); if(r<0){drop(c);continue;} if(r>0){ e.events=EPOLLIN; e.data.ptr=c; epoll_ctl(ep,EPOLL_CTL_MOD,c->fd,&e);} }
      if(ev[i].events&(EPOLLIN|EPOLLHUP|EPOLLERR)){ if(c->cap-c->len<4096){ c->cap*=2; c->in=realloc(c->in,c->cap);} ssize_t r=read(c->fd,c->in+c->len,c->cap-c->len);
        if(r==0||(r<0&&errno!=EAGAIN)){drop(c);continue;} if(r>0)c->len+=r; if(parse(c)<0)drop(c); } }
    if(hn){ double t=now(); while(hn&&heap[1]->at<=t){ conn*c=heap[1]; disarm(c); if(tick(c)<0||parse(c)<0)drop(c); } } } }
