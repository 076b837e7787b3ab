/* Stylise one picture by TensorFlow's C API: what tests/c_api.py does, in C.

   cc c_api.c -I<tensorflow>/include -L<tensorflow> -l:libtensorflow_cc.so.2 \
       -l:libtensorflow_framework.so.2 -Wl,-rpath,<tensorflow> -o c_api
   ./c_api <export> <photo> <painting> <result> <operation> <index>, four times the last two:
   content, style, alpha, result. */
#include <stdio.h>
#include <stdlib.h>
#include <tensorflow/c/c_api.h>
#include <tensorflow/c/tf_tstring.h>

static TF_Status *status;

static void check(void) {
  if (TF_GetCode(status) != TF_OK) {
    fprintf(stderr, "%s\n", TF_Message(status));
    exit(TF_GetCode(status));
  }
}

static TF_Tensor *file_tensor(const char *path) {
  int64_t dims[] = {1};
  TF_Tensor *tensor = TF_AllocateTensor(TF_STRING, dims, 1, sizeof(TF_TString));
  FILE *file = fopen(path, "rb");
  if (!file) { perror(path); exit(1); }
  fseek(file, 0, SEEK_END);
  size_t size = ftell(file);
  rewind(file);
  char *data = malloc(size);
  if (fread(data, 1, size, file) != size) exit(1);
  fclose(file);
  TF_StringInit(TF_TensorData(tensor));
  TF_StringCopy(TF_TensorData(tensor), data, size);
  free(data);
  return tensor;
}

int main(int argc, char **argv) {
  if (argc != 13) { fprintf(stderr, "see the head of the source\n"); return 1; }
  const char *tags[] = {"serve"};
  TF_Graph *graph = TF_NewGraph();
  status = TF_NewStatus();
  TF_Session *session = TF_LoadSessionFromSavedModel(
      TF_NewSessionOptions(), NULL, argv[1], tags, 1, graph, NULL, status);
  check();
  TF_Output places[4];
  for (int i = 0; i < 4; i++) {
    places[i].oper = TF_GraphOperationByName(graph, argv[5 + 2 * i]);
    places[i].index = atoi(argv[6 + 2 * i]);
  }
  int64_t dims[] = {1};
  TF_Tensor *alpha = TF_AllocateTensor(TF_FLOAT, dims, 1, sizeof(float));
  *(float *)TF_TensorData(alpha) = 1.0f;
  TF_Tensor *inputs[] = {file_tensor(argv[2]), file_tensor(argv[3]), alpha}, *output;
  TF_SessionRun(session, NULL, places, inputs, 3, places + 3, &output, 1, NULL, 0, NULL, status);
  check();
  TF_TString *text = TF_TensorData(output);
  FILE *file = fopen(argv[4], "wb");
  fwrite(TF_StringGetDataPointer(text), 1, TF_StringGetSize(text), file);
  return fclose(file);
}
