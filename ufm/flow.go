package ufm

var flowQuestions []Question
